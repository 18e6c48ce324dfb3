const char linux_banner[] = "Linux version 6.1.999 (harness@" BUILD_HOST ")";
