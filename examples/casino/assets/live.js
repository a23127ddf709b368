// Keeps the jackpot on the home page up to date. Without it the page shows the
// sum at the time it was loaded.
const sum = document.getElementById("jackpot");
if (sum && window.EventSource) {
  new EventSource("/live").addEventListener("jackpot", (event) => {
    sum.textContent = event.data;
  });
}
