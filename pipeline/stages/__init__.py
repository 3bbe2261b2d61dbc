"""The stages in the order of the flow: one file and one public function each. A stage reads what earlier ones wrote."""
