"""vCards (XEP-0054): their photos, what people are found by, and where they are kept."""
