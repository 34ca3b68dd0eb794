"""The tag library of the dashboard's own templates."""
