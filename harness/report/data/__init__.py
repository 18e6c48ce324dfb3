"""What a report is made from: the files of runs, read and told apart."""
