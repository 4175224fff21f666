"""REST: routes as values with pydantic models, from which requests are checked and OpenAPI is made."""
