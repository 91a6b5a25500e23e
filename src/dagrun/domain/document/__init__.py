"""Workflow documents: YAML or JSON text that becomes a workflow, or a list of what is wrong.

``loader`` reads a document, ``catalogue`` says what is installed, ``files`` brings in what a
document names beside itself.
"""
