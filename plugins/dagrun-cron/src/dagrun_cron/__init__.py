"""The trigger ``cron``: its options, and the check of its schedule."""
