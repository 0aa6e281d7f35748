"""The program as its users have it: processes, files, signals, brokers."""
