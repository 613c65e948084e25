"""What becomes of what a site has: of pipelines that were written for other runners."""
