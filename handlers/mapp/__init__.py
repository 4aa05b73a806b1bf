"""The source Mapp: its DIY integration, as docs/wire-format.md describes it."""
