<?php
// What the sites of PHP have in common.

// ran notes that a sensitive handler ran, and for which request.
function ran(string $handler): void
{
    file_put_contents(getenv('RUNS'), $handler . ' ' . ($_SERVER['HTTP_SPELLING'] ?? '-') . "\n", FILE_APPEND);
    header('Content-Type: text/plain');
    echo "ran $handler\n";
}

// other answers everything that is not sensitive.
function other(): void
{
    header('Content-Type: text/plain');
    echo 'open ', $_SERVER['REQUEST_URI'], "\n";
}

// method is the method as front controllers take it.
function method(bool $overrides): string
{
    $method = $_SERVER['REQUEST_METHOD'];
    if ($overrides) {
        $claimed = $_SERVER['HTTP_X_HTTP_METHOD_OVERRIDE'] ?? $_REQUEST['_method'] ?? null;
        $method = is_string($claimed) ? $claimed : $method;
    }
    return strtoupper($method);
}

// route runs what a path and a method name.
function route(string $path, string $method): void
{
    $path = trim($path, '/');
    if ($path === 'wallet/withdraw' && $method === 'POST') {
        ran('withdraw');
    } elseif ($path === 'account/export' && ($method === 'GET' || $method === 'HEAD')) {
        ran('export');
    } elseif ($path === 'account/phone' && $method === 'PUT') {
        ran('phone');
    } elseif (preg_match('#^api/users/[^/]+/transfer$#', $path) && $method === 'POST') {
        ran('transfer');
    } else {
        other();
    }
}
