"""Where a classifier breaks: what it answers when its pictures are moved, hidden, lit or damaged."""
