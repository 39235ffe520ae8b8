"""Virtual time, the life of pods, and the recorder."""
