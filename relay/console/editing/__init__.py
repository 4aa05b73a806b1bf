"""Adding and editing a connector in steps: what each step asks, reads and shows. The views are in `relay.console.pages.edit`."""
