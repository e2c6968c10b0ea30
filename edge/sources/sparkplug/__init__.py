"""The source `sparkplug`: an edge node of Sparkplug B, as its data arrive."""
