"""What is made of datasets: versions, plans and reports, documents, exports, cleaning, erasure."""
