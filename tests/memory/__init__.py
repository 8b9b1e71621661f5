"""What a program uses again and again does not grow."""
