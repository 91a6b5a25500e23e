"""What plugin authors and our own tests need. Nothing imports it but tests."""
