"""What a person does from a page: the question before it, the call of the ledger, and what is told afterwards."""
