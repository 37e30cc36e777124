// Interactive figures take the theme of the book.
function show_theme() {
  const theme = document.documentElement.dataset.theme || "light";
  for (const frame of document.querySelectorAll("iframe[srcdoc]")) {
    const page = frame.contentDocument;
    if (page?.documentElement) page.documentElement.style.colorScheme = theme;
  }
}
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(show_theme).observe(document.documentElement,
    { attributes: true, attributeFilter: ["data-theme"] });
  for (const frame of document.querySelectorAll("iframe[srcdoc]")) {
    frame.addEventListener("load", show_theme);
  }
  show_theme();
});
