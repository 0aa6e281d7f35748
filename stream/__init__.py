"""The shell: logs, pixels, workers, telemetry and the command line."""
