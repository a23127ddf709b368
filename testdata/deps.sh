#!/bin/sh
# Installs what the tests need beside Go, where this machine lets us; says what is
# missing where it does not. With CI=true something missing is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1
missing=''

have_browser() {
	command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1
}

install_packages() {
	command -v apt-get >/dev/null 2>&1 || return 1
	if [ "$(id -u)" = 0 ]; then root=''; elif sudo -n true 2>/dev/null; then root='sudo -n'; else return 1; fi
	$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends "$@"
}

if ! have_browser; then
	echo "Installing Chromium for the browser tests."
	install_packages chromium fonts-noto-core >/dev/null 2>&1
	have_browser || missing="$missing
  a browser: install Chromium (Debian: apt-get install chromium)"
fi

axe=e2e/node_modules/axe-core/axe.min.js
if [ ! -f $axe ] && command -v npm >/dev/null 2>&1; then
	echo "Installing axe-core for the accessibility tests."
	npm ci --prefix e2e --ignore-scripts --no-audit --no-fund >/dev/null 2>&1
fi
[ -f $axe ] || missing="$missing
  axe-core: install Node.js with npm, then run 'npm ci --prefix e2e'"

# The official client that the fake of Vonage has to satisfy.
vonage=testdata/vonage/node_modules
if [ ! -d $vonage ] && command -v npm >/dev/null 2>&1; then
	echo "Installing Vonage's client for the test of our fake Vonage."
	npm ci --prefix testdata/vonage --ignore-scripts --no-audit --no-fund >/dev/null 2>&1
fi
[ -d $vonage ] || missing="$missing
  Vonage's client: install Node.js with npm, then run 'npm ci --prefix testdata/vonage'"

have_postgres() {
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1
}

if [ -z "${STEPGATE_TEST_POSTGRES:-}" ] && ! have_postgres; then
	echo "Installing PostgreSQL for the tests of several gateways."
	install_packages postgresql >/dev/null 2>&1
	have_postgres || missing="$missing
  PostgreSQL 14 or newer: install its server (Debian: apt-get install postgresql), or set STEPGATE_TEST_POSTGRES"
fi

# The routers that the gateway is compared with.
routers=e2e/routers/apps/node_modules
if [ ! -d $routers ] && command -v npm >/dev/null 2>&1; then
	echo "Installing Express, Fastify and Koa for the comparison with real routers."
	npm ci --prefix e2e/routers/apps --ignore-scripts --no-audit --no-fund >/dev/null 2>&1
fi
[ -d $routers ] || missing="$missing
  the routers of Node.js: install Node.js with npm, then run 'npm ci --prefix e2e/routers/apps'"

have_routers() {
	command -v php >/dev/null 2>&1 && command -v javac >/dev/null 2>&1 &&
		/usr/bin/python3 -c 'import django, flask, gunicorn' >/dev/null 2>&1 &&
		[ -f "${STEPGATE_TEST_TOMCAT:-/usr/share/java/tomcat10-embed-core.jar}" ]
}

if ! have_routers; then
	echo "Installing PHP, Django, Flask, gunicorn and Tomcat for the comparison with real routers."
	jdk=''
	command -v javac >/dev/null 2>&1 || jdk=default-jdk-headless
	install_packages php-cli python3-django python3-flask python3-gunicorn libtomcat10-embed-java $jdk >/dev/null 2>&1
	have_routers || missing="$missing
  routers: install PHP; Django, Flask and gunicorn for /usr/bin/python3; a JDK and Tomcat 10
  (Debian: apt-get install php-cli python3-django python3-flask python3-gunicorn libtomcat10-embed-java default-jdk-headless)"
fi

have_readers() {
	command -v zbarimg >/dev/null 2>&1 && command -v oathtool >/dev/null 2>&1 && command -v pdftotext >/dev/null 2>&1
}

if ! have_readers; then
	echo "Installing zbarimg, oathtool and pdftotext, which read the set-up and key pages as others do."
	install_packages zbar-tools oathtool poppler-utils >/dev/null 2>&1
	have_readers || missing="$missing
  zbarimg, oathtool and pdftotext: install them (Debian: apt-get install zbar-tools oathtool poppler-utils)"
fi

if ! command -v cc >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then
	install_packages gcc libc6-dev >/dev/null 2>&1
	command -v gcc >/dev/null 2>&1 || missing="$missing
  a C compiler for the race detector: install gcc (Debian: apt-get install gcc libc6-dev)"
fi

if [ -n "$missing" ]; then
	echo "Missing:$missing"
	if [ "${CI:-}" = true ]; then
		exit 1
	fi
	echo "The tests that need it are skipped."
fi
exit 0
