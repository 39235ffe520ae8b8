"""What the readers share, and what is done with a trace once it is read. No leaf stands here."""
