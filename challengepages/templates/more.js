// Copying, printing and saving a key. The buttons are hidden without script.
(function () {
  var offer = function (selector, f) {
    document.querySelectorAll(selector).forEach(function (button) {
      button.hidden = false
      button.addEventListener('click', function () { f(button) })
    })
  }
  if (navigator.clipboard) offer('[data-copy]', function (button) {
    navigator.clipboard.writeText(button.dataset.copy).then(function () {
      button.setAttribute('role', 'status')
      button.textContent = button.dataset.done
    }, function () {})
  })
  offer('[data-print]', function () { print() })
  offer('[data-save]', function (button) {
    var a = document.createElement('a')
    a.href = URL.createObjectURL(new Blob([button.dataset.text + '\r\n'], { type: 'text/plain' }))
    a.download = button.dataset.save
    a.click()
    URL.revokeObjectURL(a.href)
  })
})();

// Times are told in the site's zone. Where the player's phone is in another, the
// time on its clock is added.
(function () {
  var local = document.querySelector('[data-local]')
  if (local) local.querySelectorAll('time').forEach(function (element) {
    var shown = element.dateTime.match(/T.*(?:Z|([+-])(\d\d):(\d\d))$/)
    if (!shown) return
    var at = new Date(element.dateTime)
    var offset = shown[1] ? (shown[1] + 1) * (shown[2] * 60 + +shown[3]) : 0
    var here = -at.getTimezoneOffset()
    if (here === offset) return
    var form = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
    // The day is told where it is another: by the site's clock and by this one.
    var day = function (minutes) { return Math.floor((at.getTime() / 60000 + minutes) / 1440) }
    if (day(here) !== day(offset)) {
      form.day = 'numeric'
      form.month = 'short'
    }
    var text = at.toLocaleString(document.documentElement.lang, form)
    element.insertAdjacentText('afterend', ' (' + local.dataset.local.replace('{time}', text).replace(/ /g, '\xa0') + ')')
  })
})();
