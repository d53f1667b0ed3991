"""Checks of the images themselves: what is in them, and that what they are for runs in them as in a restricted pod."""
