<?php
// The player's id follows the script's name, or stands in the query.
require __DIR__ . '/../../../site.php';
ran('transfer');
