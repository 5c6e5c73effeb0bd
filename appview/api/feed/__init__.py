"""Methods about tracks and what people do with them."""
