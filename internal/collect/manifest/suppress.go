package manifest
const ignoreMark = "stockade:ignore"
