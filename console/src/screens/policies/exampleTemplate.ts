// A template to begin with: it compiles, and shows parameters and a message.
export const exampleTemplate = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: requiredlabels
spec:
  crd:
    spec:
      names:
        kind: RequiredLabels
      validation:
        openAPIV3Schema:
          type: object
          properties:
            labels:
              type: array
              items:
                type: string
  targets:
    - target: admission.k8s.gatekeeper.sh
      code:
        - engine: K8sNativeValidation
          source:
            validations:
              - expression: >-
                  !has(variables.params.labels) || variables.params.labels.all(l,
                  has(object.metadata.labels) && l in object.metadata.labels)
                messageExpression: >-
                  "labels are needed: " + variables.params.labels.join(", ")
`
