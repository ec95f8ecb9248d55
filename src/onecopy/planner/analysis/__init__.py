"""From a module and the bounds of its dynamic shapes to a plan: sizes, lifetimes, the peak."""
