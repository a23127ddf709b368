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
