import { bundle } from './bundle'

export const texts = bundle(import.meta.glob<object>(['./en.json', '../app/**/en.json', '../parts/en.json', '../screens/*/en.json'], { eager: true, import: 'default' }))
