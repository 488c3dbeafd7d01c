// Light and dark: what the reader's system asks for, until the reader chooses.

const themed = [];  // called when the theme changes

function currentTheme() {
  return document.documentElement.dataset.theme;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId('theme').textContent = theme === 'dark' ? 'Light' : 'Dark';
  for (const change of themed) change();
}

function startTheme() {
  const asked = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  setTheme(asked);
  byId('theme').addEventListener('click', () => setTheme(currentTheme() === 'dark' ? 'light' : 'dark'));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Colours that readers with any colour vision tell apart (Okabe and Ito 2008), and others after them.
const LIGHT_COLOURS = ['#0072b2', '#d55e00', '#008563', '#b3508a', '#8a6d00', '#3a8fc4', '#5a5a5a', '#7a4b2a'];
const DARK_COLOURS = ['#5ab4e8', '#ff9a4d', '#35c9a0', '#e593c4', '#f0d24a', '#9fd0ee', '#b8bec4', '#d0a07c'];
const colours = () => (currentTheme() === 'dark' ? DARK_COLOURS : LIGHT_COLOURS);
