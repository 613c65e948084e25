"""What becomes of what a site has: of its runners, and of pipelines that were written for them."""
