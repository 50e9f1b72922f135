// The keys of all texts, so that a missing one does not compile.
import type app from '../app/en.json'
import type palette from '../app/palette/en.json'
import type said from '../app/said/en.json'
import type parts from '../parts/en.json'
import type admission from '../screens/admission/en.json'
import type assets from '../screens/assets/en.json'
import type attack from '../screens/attack/en.json'
import type compliance from '../screens/compliance/en.json'
import type emergencies from '../screens/emergencies/en.json'
import type exceptions from '../screens/exceptions/en.json'
import type iac from '../screens/iac/en.json'
import type images from '../screens/images/en.json'
import type integrations from '../screens/integrations/en.json'
import type nodes from '../screens/nodes/en.json'
import type overview from '../screens/overview/en.json'
import type policies from '../screens/policies/en.json'
import type protection from '../screens/protection/en.json'
import type reports from '../screens/reports/en.json'
import type risks from '../screens/risks/en.json'
import type rules from '../screens/rules/en.json'
import type scans from '../screens/scans/en.json'
import type settings from '../screens/settings/en.json'
import type signin from '../screens/signin/en.json'
import type words from './en.json'

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'app'
    returnNull: false
    resources: {
      words: typeof words
      app: typeof app
      palette: typeof palette
      said: typeof said
      parts: typeof parts
      admission: typeof admission
      assets: typeof assets
      attack: typeof attack
      compliance: typeof compliance
      emergencies: typeof emergencies
      exceptions: typeof exceptions
      iac: typeof iac
      images: typeof images
      integrations: typeof integrations
      nodes: typeof nodes
      overview: typeof overview
      policies: typeof policies
      protection: typeof protection
      reports: typeof reports
      risks: typeof risks
      rules: typeof rules
      scans: typeof scans
      settings: typeof settings
      signin: typeof signin
    }
  }
}
