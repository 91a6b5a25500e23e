"""What comes with the core. It registers through the same hooks as any other plugin."""
