"""What nobody who means well would send."""
