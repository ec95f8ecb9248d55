"""Guests in processes of their own: started, confined, watched, replaced."""
