"""What gencls is compared with."""
