// SPDX-License-Identifier: MIT
/*
 * init - PID 1 of a harness guest.
 *
 * Mounts what programs expect, brings up the network, starts sshd, says on the
 * console that it listens, and then reaps orphans until it is told to end.
 * A shell script could do the same; under TCG every fork and exec of one costs
 * 20 ms of a boot that happens hundreds of times.
 *
 *   SIGUSR1  end: TERM and KILL to all, sync, reboot (QEMU's -no-reboot: exit).
 *            All processes are dead before that, so a page table that leaked is
 *            reported by the kernel while the console is still read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY "pte-harness: ready"

/*
 * To the console by way of the kernel's log: a line that is written to the
 * terminal itself is cut in two by a message of the kernel that comes meanwhile,
 * and whoever waits for it on the other side waits in vain. Level 1 is shown
 * whatever the console's level is.
 */
static void announce(const char *text)
{
	char line[120];
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* In one write: each is a record. Not dprintf(), which wants to seek. */
	snprintf(line, sizeof(line), "<1>%s\n", text);
	if (log < 0 || write(log, line, strlen(line)) < 0)
		dprintf(1, "%s\n", text);
	if (log >= 0)
		close(log);
}

static void complain(const char *what)
{
	dprintf(2, "pte-harness: init: %s: %s\n", what, strerror(errno));
}

static void mount_one(const char *type, const char *where, const char *options)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, options))
		complain(where);
}

static void mount_all(void)
{
	mount_one("proc", "/proc", "");
	mount_one("sysfs", "/sys", "");
	mount_one("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666");
	mount_one("tmpfs", "/dev/shm", "mode=1777");
	mount_one("tmpfs", "/run", "mode=755");
	mount_one("tmpfs", "/tmp", "mode=1777");
	/* Absent from some configurations; whoever needs them will say so. */
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, "");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, "");
	mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "");
	mkdir("/run/sshd", 0755);
	mkdir("/run/lock", 01777);
	if (symlink("/proc/self/fd", "/dev/fd") && errno != EEXIST)
		complain("/dev/fd");
}

static int set_address(int sock, struct ifreq *req, unsigned long what, const char *text)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&req->ifr_addr;

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	inet_pton(AF_INET, text, &address->sin_addr);
	return ioctl(sock, what, req);
}

static void interface_up(int sock, const char *name, const char *ip, const char *mask)
{
	struct ifreq req = { 0 };

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (set_address(sock, &req, SIOCSIFADDR, ip) || set_address(sock, &req, SIOCSIFNETMASK, mask))
		complain(name);
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(sock, SIOCSIFFLAGS, &req))
		complain(name);
}

static void network_up(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0) {
		complain("socket");
		return;
	}
	interface_up(sock, "lo", "127.0.0.1", "255.0.0.0");
	interface_up(sock, "eth0", "10.0.2.15", "255.255.255.0");
	close(sock);
	if (sethostname("guest", 5))
		complain("sethostname");
}

/*
 * Start sshd and wait until it listens: it writes its pid file just after that.
 * (Its first process exits earlier, so that is no sign.) Not in a session of its
 * own: a session leader without a terminal would take the console as its own
 * and hang it up when it ends, and with it our last words.
 */
static int start_sshd(void)
{
	const struct timespec tick = { .tv_nsec = 5 * 1000 * 1000 };
	pid_t pid = fork();

	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* Absolute: sshd executes itself anew for each connection. */
		execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", (char *)NULL);
		complain("/usr/sbin/sshd");
		_exit(127);
	}
	while (access("/run/sshd.pid", F_OK)) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
		nanosleep(&tick, NULL);
	}
	return 1;
}

static int reap(void)
{
	int more;

	while ((more = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return more;	/* 0: children live; -1: none left */
}

static void end_all(int number, int tenths)
{
	const struct timespec tick = { .tv_nsec = 10 * 1000 * 1000 };

	kill(-1, number);
	for (int i = 0; i < tenths * 10; i++) {
		if (reap() < 0 && errno == ECHILD)
			return;
		nanosleep(&tick, NULL);
	}
}

static void power_off(void)
{
	end_all(SIGTERM, 3);
	end_all(SIGKILL, 20);
	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, NULL);
	for (;;)
		pause();
}

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);

	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("LANG", "C.UTF-8", 1);
	umask(022);
	mount_all();
	network_up();
	if (start_sshd())
		announce(READY);
	else
		announce("pte-harness: failed: sshd does not start");

	for (;;) {
		siginfo_t info;

		if (sigwaitinfo(&set, &info) == SIGUSR1)
			power_off();
		reap();
	}
}
