import { setTimeZone } from './format'
import { startTexts } from './start'

setTimeZone('UTC')
await startTexts('en')
