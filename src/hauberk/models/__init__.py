"""Models: what a model is, apart from how it is trained or attacked.

`port` is what the other rooms ask of one; `adapting.as_model` turns modules, estimators and functions into one; `torch_model`,
`sklearn_model` and `onnx_model` are Hauberk's own; `encoding` and `spec` describe its input; `_export` writes ONNX and
proves it.
"""
