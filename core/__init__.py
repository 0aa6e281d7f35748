"""The mathematics of background matching and the state machine of a group: values in, values out."""
