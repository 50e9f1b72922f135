// inPage is where dialogs are put: in the body itself they would lock its scrolling by a style that the page's policy refuses.
export const inPage = () => document.getElementById('root') ?? document.body
