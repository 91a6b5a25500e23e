"""Long-lived objects, one a file, each run in a nursery by a role."""
