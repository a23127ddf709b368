<?php
// A front controller that finds its path as frameworks do that must work behind
// every server: the headers of rewriting modules first.
require __DIR__ . '/../site.php';

$uri = $_SERVER['HTTP_X_ORIGINAL_URL'] ?? $_SERVER['HTTP_X_REWRITE_URL'] ?? $_SERVER['REQUEST_URI'];
$uri = preg_replace('#^[^/:]+://[^/]+#', '', $uri);
$path = urldecode(strtok($uri, '?#') ?: '/');
$path = preg_replace('#^/index\.php#', '', $path);
route(preg_replace('#/+#', '/', $path), method(false));
