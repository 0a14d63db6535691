"""One module for each revision, oldest first; a revision that was released is never edited."""
