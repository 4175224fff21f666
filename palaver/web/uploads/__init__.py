"""Files that people upload (XEP-0363): slots, what is stored, and the page that takes and gives files."""
